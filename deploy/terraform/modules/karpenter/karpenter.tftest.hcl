mock_provider "aws" {
  mock_resource "aws_sqs_queue" {
    defaults = { arn = "arn:aws:sqs:us-east-1:111122223333:inference" }
  }

  mock_resource "aws_cloudwatch_event_rule" {
    defaults = { arn = "arn:aws:events:us-east-1:111122223333:rule/x" }
  }
}

variables {
  name          = "quartermaster"
  account_id    = "111122223333"
  region        = "us-east-1"
  cluster_name  = "inference"
  issuer        = { arn = "arn:aws:iam::111122223333:oidc-provider/oidc.eks.us-east-1.amazonaws.com/id/A", host = "oidc.eks.us-east-1.amazonaws.com/id/A" }
  node_role_arn = "arn:aws:iam::111122223333:role/KarpenterNodeRole-inference"
  queue_key_arn = "arn:aws:kms:us-east-1:111122223333:key/queue"
}

run "hears_of_every_machine_that_will_go" {
  assert {
    condition = toset([for rule in aws_cloudwatch_event_rule.this : jsondecode(rule.event_pattern)["detail-type"][0]]) == toset([
      "AWS Health Event", "EC2 Spot Instance Interruption Warning", "EC2 Instance Rebalance Recommendation",
      "EC2 Instance State-change Notification", "EC2 Capacity Reservation Instance Interruption Warning",
    ])
    error_message = "Karpenter does not hear of some machines that go."
  }

  assert {
    condition     = alltrue([for target in aws_cloudwatch_event_target.this : target.arn == aws_sqs_queue.interruptions.arn])
    error_message = "An event does not come into the queue."
  }

  assert {
    condition = (
      aws_sqs_queue.interruptions.kms_master_key_id == var.queue_key_arn
      && jsondecode(aws_sqs_queue_policy.interruptions.policy).Statement[0].Principal == { Service = "events.amazonaws.com" }
      && can(jsondecode(aws_sqs_queue_policy.interruptions.policy).Statement[0].Condition.ArnEquals["aws:SourceArn"])
    )
    error_message = "Others than our rules may write into the queue, or it is not encrypted by our key."
  }
}

run "changes_only_what_carries_the_clusters_tag" {
  assert {
    condition = alltrue([
      for statement in local.statements :
      can(statement.Condition) || !anytrue([for action in statement.Action : can(regex("^(ec2:(Create|Delete|Terminate)|iam:(Add|Create|Delete|Pass|Remove|Tag))", action))])
      || statement.Sid == "StartsFromWhatIsThere"
    ])
    error_message = "The controller changes what is not its own."
  }

  assert {
    condition     = [for statement in local.statements : statement.Resource if contains(statement.Action, "iam:PassRole")] == [[var.node_role_arn]]
    error_message = "A machine can be given another role."
  }

  assert {
    condition = alltrue([
      for statement in local.statements :
      statement.Resource != "*" || alltrue([for action in statement.Action : can(regex(":(Describe|Get|List)", action))])
    ])
    error_message = "Something else than looking is allowed everywhere."
  }
}
