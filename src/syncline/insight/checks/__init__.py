"""What ``syncline doctor`` looks at, a file per place to look."""
