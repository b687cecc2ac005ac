# How many vCPUs of machines with GPUs this region lets us have. New accounts have none, an answer takes days, and a
# region that shall take over needs them before it does. A quota is a permission, not a machine that is kept free.
locals {
  codes = {
    g_on_demand  = "L-DB2E81BA" # Running On-Demand G and VT instances
    p_on_demand  = "L-417A185B" # Running On-Demand P instances
    g_spot       = "L-3819A6DF" # All G and VT Spot Instance Requests
    p4_spot      = "L-7212CCBC" # All P4, P3 and P2 Spot Instance Requests
    p5_spot      = "L-C4BD4855" # All P5 Spot Instance Requests
    all_standard = "L-1216C47A" # Running On-Demand Standard instances: the system's own machines
  }
}

resource "aws_servicequotas_service_quota" "this" {
  for_each     = var.vcpus
  service_code = "ec2"
  quota_code   = local.codes[each.key]
  value        = each.value
}
