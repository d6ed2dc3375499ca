"""What a model attends to and what it predicts: as arrays, as a page that needs nothing but a browser, as a picture."""
