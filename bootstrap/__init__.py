"""The command potp2p-bootstrap: a node that only peers and answers the DHT."""
