"""A double of AWS Data Exports: bills of machines as CUR 2.0 in Parquet, where and how AWS delivers
them. Everything in them is made up: the payer is the account 000000000000, which AWS never gives.
"""
