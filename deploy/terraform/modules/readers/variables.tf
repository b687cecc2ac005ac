variable "name" {
  type        = string
  description = "What the roles' names begin with."

  validation {
    condition     = length(var.name) <= 21
    error_message = "With -reads- and a model's name of up to 36 letters, 64 are not to be exceeded: at most 21."
  }
}

variable "models" {
  type        = set(string)
  description = "The models that lie in Git."

  validation {
    condition     = alltrue([for model in var.models : can(regex("^[a-z]([-a-z0-9]{0,34}[a-z0-9])?$", model))])
    error_message = "A model's name has lower-case letters, digits and dashes, and at most 36 of them."
  }

  # an empty list from a wrong folder would take every role away, and with them all that serves
  validation {
    condition     = length(var.models) > 0 || var.none_yet
    error_message = "No model lies there. Check the path of the GitOps repository; where there are none yet, say none_yet."
  }
}

variable "none_yet" {
  type        = bool
  description = "That there are no models is right: the platform is new."
  default     = false
}

variable "issuers" {
  type        = map(object({ arn = string, host = string }))
  description = "The clusters' OIDC providers by region."
}

variable "buckets" {
  type        = map(object({ arn = string, key_arn = string }))
  description = "The registry's buckets by region, with the key that encrypts each."
}
