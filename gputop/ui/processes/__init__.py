"""The process table: its columns, its rows, and the widget that draws them."""
