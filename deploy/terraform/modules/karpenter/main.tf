# What Karpenter needs of AWS in one region: the queue that tells it of machines that will go, and the role of its
# controller. The NodePools are the portal's (deploy/karpenter), the role of the machines both regions' (platform).
resource "aws_sqs_queue" "interruptions" {
  name                              = var.cluster_name
  message_retention_seconds         = 300
  kms_master_key_id                 = var.queue_key_arn
  kms_data_key_reuse_period_seconds = 300
}

resource "aws_sqs_queue_policy" "interruptions" {
  queue_url = aws_sqs_queue.interruptions.url

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "EventsOfThisAccount"
        Effect    = "Allow"
        Principal = { Service = "events.amazonaws.com" }
        Action    = "sqs:SendMessage"
        Resource  = aws_sqs_queue.interruptions.arn
        Condition = { ArnEquals = { "aws:SourceArn" = [for rule in aws_cloudwatch_event_rule.this : rule.arn] } }
      },
      {
        Sid       = "OverTlsOnly"
        Effect    = "Deny"
        Principal = "*"
        Action    = "sqs:*"
        Resource  = aws_sqs_queue.interruptions.arn
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
    ]
  })
}

locals {
  events = {
    health       = { source = "aws.health", type = "AWS Health Event" }
    interruption = { source = "aws.ec2", type = "EC2 Spot Instance Interruption Warning" }
    rebalance    = { source = "aws.ec2", type = "EC2 Instance Rebalance Recommendation" }
    state        = { source = "aws.ec2", type = "EC2 Instance State-change Notification" }
    reservation  = { source = "aws.ec2", type = "EC2 Capacity Reservation Instance Interruption Warning" }
  }
}

resource "aws_cloudwatch_event_rule" "this" {
  for_each      = local.events
  name          = "${var.name}-karpenter-${each.key}"
  description   = "${each.value.type}, for Karpenter"
  event_pattern = jsonencode({ source = [each.value.source], "detail-type" = [each.value.type] })
}

resource "aws_cloudwatch_event_target" "this" {
  for_each  = local.events
  rule      = aws_cloudwatch_event_rule.this[each.key].name
  target_id = "karpenter"
  arn       = aws_sqs_queue.interruptions.arn
}

module "role" {
  source      = "../account_role"
  name        = "${var.name}-${var.region}-karpenter"
  description = "Karpenter starts and ends the machines of ${var.cluster_name}."
  issuers     = { (var.region) = var.issuer }
  accounts    = ["kube-system:karpenter"]
  policy      = jsonencode({ Version = "2012-10-17", Statement = local.statements })
}
