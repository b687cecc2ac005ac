# The IAM role of Kubernetes service accounts (IRSA): only a token whose issuer is one of our clusters, that is meant for
# STS and that names exactly one of these accounts may take it.
resource "aws_iam_role" "this" {
  name                 = var.name
  description          = var.description
  max_session_duration = 3600

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [for issuer in var.issuers : {
      Effect    = "Allow"
      Principal = { Federated = issuer.arn }
      Action    = "sts:AssumeRoleWithWebIdentity"
      Condition = {
        StringEquals = {
          "${issuer.host}:aud" = "sts.amazonaws.com"
          "${issuer.host}:sub" = [for account in var.accounts : "system:serviceaccount:${account}"]
        }
      }
    }]
  })
}

resource "aws_iam_role_policy" "this" {
  name   = "may"
  role   = aws_iam_role.this.name
  policy = var.policy
}
