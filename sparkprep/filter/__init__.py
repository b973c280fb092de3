"""Documents -> those that the published rules of curation keep, and those that they remove."""
