"""The serving settings in the API: one body for what is proposed and what is answered."""

from typing import Any

from rest_framework import serializers

from apps.manifests.serving_settings import BadSettings, ServingSettings


class SettingsBody(serializers.Serializer[Any]):
    """With what a version is served; what is left out is as usual. cpu, memory, shm: as Kubernetes
    writes quantities (3, 3500m; 12Gi, 512Mi). engine_args: option → value, "" for an option that
    takes none. instance_types: none for any that fits. adapter_of: the name of a version, or "".
    """

    gpus = serializers.IntegerField(required=False)
    tensor_parallelism = serializers.IntegerField(required=False)
    cpu = serializers.CharField(required=False)
    memory = serializers.CharField(required=False)
    shm = serializers.CharField(required=False)
    replicas_least = serializers.IntegerField(required=False)
    replicas_most = serializers.IntegerField(required=False)
    concurrency_target = serializers.IntegerField(required=False)
    engine_args = serializers.DictField(
        child=serializers.CharField(allow_blank=True), required=False
    )
    drain_seconds = serializers.IntegerField(required=False)
    pre_stop_seconds = serializers.IntegerField(required=False)
    priority_scheduling = serializers.BooleanField(required=False)
    prefix_caching = serializers.BooleanField(required=False)
    quantization = serializers.CharField(allow_blank=True, required=False)
    adapter_of = serializers.CharField(allow_blank=True, required=False)
    instance_types = serializers.ListField(child=serializers.CharField(), required=False)

    def to_internal_value(self, data: Any) -> ServingSettings:
        """Return the settings of a body, with nothing dropped that it says otherwise."""
        if not isinstance(data, dict):
            raise serializers.ValidationError("Serving settings are an object.")
        try:
            return ServingSettings.of_json(data)
        except BadSettings as error:
            raise serializers.ValidationError(str(error)) from None

    def to_representation(self, instance: ServingSettings) -> dict[str, Any]:
        """Return settings as a body."""
        return instance.as_json()
