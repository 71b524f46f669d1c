"""Run every experiment of every article, and write a page that compares the results with the blog."""
