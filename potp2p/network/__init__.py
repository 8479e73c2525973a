"""libp2p behind three ports: gossip, streams, directory. The only home of libp2p."""
