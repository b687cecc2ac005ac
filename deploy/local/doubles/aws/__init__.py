"""A double of what we ask AWS about prices: the price list (GetProducts) and the history of Spot
prices (DescribeSpotPriceHistory), in their shapes, with their paging and their traps.
"""
