"""Papers in one file each, as a user writes them: recipe, and network where there is one."""
