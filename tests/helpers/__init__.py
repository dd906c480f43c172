"""What tests share: records in one line, tiny models, servers, processes."""
