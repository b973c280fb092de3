"""Crawl archives to documents: records of WARC and WET files, their bodies, their main text."""
