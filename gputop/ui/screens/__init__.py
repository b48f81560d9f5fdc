"""The screens: overview, device, process, warnings, help, dialogs."""
