"""`quartermaster`: the command line. It speaks to /api/v1, and to S3 with leave that the API
signed; of the product it imports the rules of manifests and nothing else.
"""
