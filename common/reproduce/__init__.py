"""Every run of every article, and the page that compares them with the blog."""
