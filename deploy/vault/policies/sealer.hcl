# The sealer: it signs checkpoints of the record with its own key, and nothing else.
path "transit/keys/audit-record" {
  capabilities = ["read"]
}
path "transit/sign/audit-record" {
  capabilities = ["update"]
}
path "transit/verify/audit-record" {
  capabilities = ["update"]
}
