def policy(name): return None
