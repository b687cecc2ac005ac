variable "name" {
  type        = string
  description = "What the roles' names begin with."
}

variable "issuers" {
  type        = map(object({ arn = string, host = string }))
  description = "The clusters' OIDC providers by region."
}

variable "buckets" {
  type        = map(map(object({ arn = string, key_arn = string })))
  description = "registry, usage, audit and prompts → region → bucket, with the key that encrypts it."
}

variable "databases" {
  type        = list(string)
  description = "What rds-db:connect names, without the user: arn:aws:rds-db:REGION:ACCOUNT:dbuser:RESOURCE_ID."
}

variable "bills_bucket_arn" {
  type        = string
  description = "The bucket that AWS Data Exports writes bills to; empty: none is read."
  default     = ""
}
