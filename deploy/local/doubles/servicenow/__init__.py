"""Our double of ServiceNow: changes, incidents, its REST contract with every trap of it, and a page
to act as the change manager. It knows nothing of the product.
"""
