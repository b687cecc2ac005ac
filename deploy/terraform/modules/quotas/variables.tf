variable "vcpus" {
  type        = map(number)
  description = "Family to vCPUs that are asked for; of one that is left out nothing is asked. A value below what there is is an error of AWS."

  validation {
    condition     = length(setsubtract(keys(var.vcpus), ["g_on_demand", "p_on_demand", "g_spot", "p4_spot", "p5_spot", "all_standard"])) == 0
    error_message = "Families are g_on_demand, p_on_demand, g_spot, p4_spot, p5_spot and all_standard."
  }
}
