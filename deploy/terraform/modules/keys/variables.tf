variable "name" {
  type        = string
  description = "What the keys' aliases begin with."
}

variable "account_id" {
  type        = string
  description = "The AWS account, 12 digits."
}

variable "region" {
  type        = string
  description = "Where the keys are."
}

variable "keys" {
  type        = map(object({ description = string, used_by = optional(list(string), []) }))
  description = "Name of a key to what it encrypts, and which services of AWS use it by themselves: logs, events, trail."

  validation {
    condition     = alltrue([for key in var.keys : length(setsubtract(key.used_by, ["logs", "events", "trail"])) == 0])
    error_message = "Only logs, events and trail use a key by themselves."
  }
}
