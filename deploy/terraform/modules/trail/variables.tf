variable "name" {
  type        = string
  description = "The trail's name."
}

variable "account_id" {
  type        = string
  description = "The AWS account, 12 digits."
}

variable "region" {
  type        = string
  description = "Where the trail is kept; it tells of all regions."
}

variable "bucket" {
  type        = string
  description = "Name of the bucket that it writes to."
}

variable "key_arn" {
  type        = string
  description = "The key that encrypts it; CloudTrail may use it."
}

variable "buckets" {
  type        = list(string)
  description = "Addresses of the buckets whose objects are told of."
}

variable "retention_days" {
  type        = number
  description = "For how long the trail is locked: six years, as the audit record."
  default     = 2192
}
