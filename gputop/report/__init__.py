"""What a run or a recording adds up to, and the pages that tell it."""
