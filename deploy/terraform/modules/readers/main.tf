# One role for each model: it reads that model's prefix of the registry, in either region, and nothing else. Which models
# there are is what lies reviewed in Git: the portal writes serving/models/MODEL/account.yaml there, with the service
# account `reader-MODEL` that carries the role (REGISTRY_READER_ROLE_ARN says how it is called).
locals {
  rule = "${var.name}-reads-{model}"
}

module "role" {
  for_each    = var.models
  source      = "../account_role"
  name        = replace(local.rule, "{model}", each.value)
  description = "Engines of ${each.value} read its weights."
  issuers     = var.issuers
  accounts    = [for namespace in ["models", "evals"] : "${namespace}:reader-${each.value}"]

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = flatten([for region, bucket in var.buckets : [
      {
        Effect    = "Allow"
        Action    = ["s3:ListBucket"]
        Resource  = [bucket.arn]
        Condition = { StringLike = { "s3:prefix" = ["${each.value}/*"] } }
      },
      {
        Effect   = "Allow"
        Action   = ["s3:GetObject", "s3:GetObjectVersion"]
        Resource = ["${bucket.arn}/${each.value}/*"]
      },
      {
        # With a bucket key the context is the bucket, not the object: what may be read is said above.
        Effect   = "Allow"
        Action   = ["kms:Decrypt"]
        Resource = [bucket.key_arn]
        Condition = {
          StringEquals = {
            "kms:ViaService"                   = "s3.${region}.amazonaws.com"
            "kms:EncryptionContext:aws:s3:arn" = bucket.arn
          }
        }
      },
    ]])
  })
}
