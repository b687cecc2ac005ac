// Karpenter for the local stack: the unmodified controllers with the kwok provider behind a thin wrapper of ours.
//
// The wrapper (provider.go) corrects what the kwok provider reports as capacity, and rehearses a shortage of GPU
// instances from a file (shortage.go). Everything goes through Karpenter's public API; nothing upstream is changed.
package main

import (
	"os"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/log"
	kwok "sigs.k8s.io/karpenter/kwok/cloudprovider"
	"sigs.k8s.io/karpenter/pkg/cloudprovider/overlay"
	"sigs.k8s.io/karpenter/pkg/controllers"
	"sigs.k8s.io/karpenter/pkg/controllers/state"
	"sigs.k8s.io/karpenter/pkg/operator"
)

// shortageHidden is how long an offering that was short stays hidden: what Karpenter's AWS provider does.
const shortageHidden = 3 * time.Minute

func main() {
	ctx, op := operator.NewOperator()
	instanceTypes, err := kwok.ConstructInstanceTypes(ctx)
	if err != nil {
		log.FromContext(ctx).Error(err, "reading the instance types")
		os.Exit(1)
	}
	raw := newProvider(ctx, op.GetClient(), instanceTypes, newShortage(os.Getenv("SHORTAGE_FILE_PATH"), shortageHidden))
	decorated := overlay.Decorate(raw, op.GetClient(), op.InstanceTypeStore)
	cluster := state.NewCluster(op.Clock, op.GetClient(), decorated)
	op.WithControllers(ctx, controllers.NewControllers(
		ctx, op.Manager, op.Clock, op.GetClient(), op.EventRecorder, decorated, raw, cluster, op.InstanceTypeStore,
	)...).Start(ctx)
}
