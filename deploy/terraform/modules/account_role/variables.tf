variable "name" {
  type        = string
  description = "Name of the role: at most 64 characters, for IAM takes no longer one."

  validation {
    condition     = can(regex("^[A-Za-z0-9_-]{1,64}$", var.name))
    error_message = "A role's name has letters, digits, - and _, and at most 64 of them."
  }
}

variable "description" {
  type        = string
  description = "What the role is for."
}

variable "issuers" {
  type        = map(object({ arn = string, host = string }))
  description = "The clusters' OIDC providers by region: address in IAM, and the issuer without https://."
}

variable "accounts" {
  type        = list(string)
  description = "The service accounts that may take the role, as namespace:name."

  validation {
    condition     = length(var.accounts) > 0 && alltrue([for each in var.accounts : can(regex("^[a-z0-9-]+:[a-z0-9-]+$", each))])
    error_message = "Name each service account as namespace:name. A pattern would let in others."
  }
}

variable "policy" {
  type        = string
  description = "What the role may do, in IAM's JSON."

  validation {
    condition = alltrue(flatten([
      for statement in jsondecode(var.policy).Statement : [
        for action in flatten([statement.Action]) : statement.Effect == "Deny" || !can(regex("\\*", action))
      ]
    ]))
    error_message = "Name every action: a pattern also allows what a service learns to do later."
  }

  validation {
    condition     = length(var.policy) <= 10240
    error_message = "IAM takes no more than 10,240 characters of a role's own policies."
  }
}
