"""stub"""
def resolve(run): raise RuntimeError
