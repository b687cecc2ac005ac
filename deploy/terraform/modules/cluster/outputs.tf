output "issuer" {
  description = "Who signs the tokens of the cluster's service accounts, for the trust of their roles."
  value = {
    arn  = aws_iam_openid_connect_provider.this.arn
    host = trimprefix(aws_eks_cluster.this.identity[0].oidc[0].issuer, "https://")
  }
}

output "endpoint" {
  value       = aws_eks_cluster.this.endpoint
  description = "Where the API answers, inside the network."
}

output "security_group_id" {
  value       = aws_eks_cluster.this.vpc_config[0].cluster_security_group_id
  description = "The group of nodes and pods."
}
