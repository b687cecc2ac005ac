variable "name" {
  type        = string
  description = "Name of the role by which S3 copies."
}

variable "account_id" {
  type        = string
  description = "The AWS account, 12 digits."
}

variable "from" {
  type        = object({ bucket = string, arn = string, key_arn = string, region = string })
  description = "The bucket that is copied. The provider is this one's region's."
}

variable "to" {
  type        = object({ bucket = string, arn = string, key_arn = string, region = string })
  description = "The bucket that is written."
}
