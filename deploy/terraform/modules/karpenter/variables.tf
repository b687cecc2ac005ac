variable "name" {
  type        = string
  description = "What the controller's role and the rules begin with."
}

variable "account_id" {
  type        = string
  description = "The AWS account, 12 digits."
}

variable "region" {
  type        = string
  description = "Where the cluster is."
}

variable "cluster_name" {
  type        = string
  description = "The cluster's name, which is also the queue's."
}

variable "issuer" {
  type        = object({ arn = string, host = string })
  description = "The cluster's OIDC provider."
}

variable "node_role_arn" {
  type        = string
  description = "The role that machines get."
}

variable "queue_key_arn" {
  type        = string
  description = "The key that encrypts messages; events may use it."
}
