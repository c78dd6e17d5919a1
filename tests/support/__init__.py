"""What the tests share: peers, servers, programs, and ways to cut a stream."""
