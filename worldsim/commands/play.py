def add_arguments(parser, whole, number):
    pass
def run(args):
    return 0
