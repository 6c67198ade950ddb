"""Files from elsewhere: checked in a process of their own before they are believed."""
