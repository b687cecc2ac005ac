variable "name" {
  type        = string
  description = "What the keys' aliases begin with."
}

variable "account_id" {
  type        = string
  description = "The AWS account, 12 digits."
}

variable "roles" {
  type        = object({ web = string, gate = string, registry = string, sealer = string })
  description = "The addresses of the roles of the product's processes."
}
