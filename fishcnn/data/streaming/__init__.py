"""Images that fit no machine: packed into shards once, fetched shard by shard while training."""
