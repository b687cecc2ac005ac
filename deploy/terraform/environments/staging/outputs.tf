output "platform" {
  description = "What the charts are told, and where things are."
  value = {
    chart               = module.platform.chart
    karpenter           = module.platform.karpenter
    reader_role_arns    = module.platform.reader_role_arns
    product_key_aliases = module.platform.product_key_aliases
    endpoints           = module.platform.endpoints
  }
}
