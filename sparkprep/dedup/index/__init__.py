"""An index of crawls: what is kept of documents so that later crawls can be deduplicated against them, without text."""
