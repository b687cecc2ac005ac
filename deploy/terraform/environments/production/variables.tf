variable "account_id" {
  type        = string
  description = "The AWS account of this environment, 12 digits."
}

variable "gitops" {
  type        = string
  description = "A checkout of the GitOps repository: each model that has an account there gets a role."
}

variable "no_models_yet" {
  type        = bool
  description = "That there are none is right: the platform is new."
  default     = false
}

variable "administrator_arns" {
  type        = list(string)
  description = "Roles that may do everything in the clusters."
}

variable "operator_cidrs" {
  type        = list(string)
  description = "Inside networks that the clusters' APIs are asked from."
  default     = []
}

variable "bills_bucket_arn" {
  type        = string
  description = "The bucket that AWS Data Exports writes bills to; empty: none is read."
  default     = ""
}

variable "owner_password" {
  type        = string
  description = "From TF_VAR_owner_password: password of the tables' owner until Vault rotates it."
  sensitive   = true
  ephemeral   = true
}

variable "cache_passwords" {
  type        = object({ portal = string, ratelimit = string })
  description = "From TF_VAR_cache_passwords: passwords of Valkey's users."
  sensitive   = true
}
