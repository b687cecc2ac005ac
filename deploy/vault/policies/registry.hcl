# The registry's process: it signs manifests with its own key, and nothing else.
path "transit/keys/model-registry" {
  capabilities = ["read"]
}
path "transit/sign/model-registry" {
  capabilities = ["update"]
}
path "transit/verify/model-registry" {
  capabilities = ["update"]
}
