"""Parse the page that compares the articles with our results."""

from html.parser import HTMLParser

VOID = {"meta", "img", "br", "hr", "input"}


class Page(HTMLParser):
    """A parsed page: its elements, its text, the text and pictures of each declared figure, the text of each run.

    Args:
        html: str, the page; an element that is not closed, or closed by another tag, is an error.
    """

    def __init__(self, html):
        super().__init__()
        self.elements, self.open, self.texts, self.figures, self.figure = [], [], [], {}, None
        self.runs, self.run, self.depth = {}, None, 0  # id of a run's card -> its text
        self.feed(html)
        assert not self.open, "not closed"

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.elements.append((tag, attrs))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "div" and "id" in attrs:
            self.run, self.depth = attrs["id"], len(self.open)
            self.runs[self.run] = ""
        if "data-figure" in attrs:
            self.figure = self.figures.setdefault(attrs["data-figure"], {"pictures": [], "text": ""})
        if tag == "img" and self.figure is not None:
            self.figure["pictures"].append(attrs["src"])

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> closes another element"
        if tag == "figure":
            self.figure = None
        if len(self.open) < self.depth:
            self.run = None

    def handle_data(self, data):
        self.texts.append(data)
        if self.figure is not None:
            self.figure["text"] += data
        if self.run is not None:
            self.runs[self.run] += data

    @property
    def text(self):
        """The text of the page, with single spaces."""
        return " ".join(" ".join(self.texts).split())

    def all(self, *tags):
        """Return (tag, attributes) of all elements with one of these tags."""
        return [(tag, attrs) for tag, attrs in self.elements if tag in tags]
