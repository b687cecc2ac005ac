// A provider that knows its schema and nothing else: `tofu validate` and `tofu test` with mocked resources need no more.
//
// It answers from the JSON file beside it (its own name with ".json"), which deploy/terraform/checking/schemas.py
// writes, and refuses to be configured, so nobody plans or applies anything with it.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6/tf6server"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

type attribute struct {
	Type     json.RawMessage `json:"type"`
	Nested   *nested         `json:"nested_type"`
	Required bool            `json:"required"`
	Optional bool            `json:"optional"`
	Computed bool            `json:"computed"`
	// handed over and never kept: not in a plan, not in a state
	WriteOnly bool `json:"write_only"`
}

type nested struct {
	Mode       string               `json:"nesting_mode"`
	Attributes map[string]attribute `json:"attributes"`
}

type block struct {
	Attributes map[string]attribute   `json:"attributes"`
	Blocks     map[string]nestedBlock `json:"block_types"`
}

type nestedBlock struct {
	Mode  string `json:"nesting_mode"`
	Min   int64  `json:"min_items"`
	Max   int64  `json:"max_items"`
	Block block  `json:"block"`
}

type schema struct {
	Block block `json:"block"`
}

type document struct {
	Provider  schema            `json:"provider"`
	Resources map[string]schema `json:"resource_schemas"`
	Data      map[string]schema `json:"data_source_schemas"`
}

var (
	objects = map[string]tfprotov6.SchemaObjectNestingMode{
		"single": tfprotov6.SchemaObjectNestingModeSingle,
		"list":   tfprotov6.SchemaObjectNestingModeList,
		"set":    tfprotov6.SchemaObjectNestingModeSet,
		"map":    tfprotov6.SchemaObjectNestingModeMap,
	}
	blocks = map[string]tfprotov6.SchemaNestedBlockNestingMode{
		"single": tfprotov6.SchemaNestedBlockNestingModeSingle,
		"list":   tfprotov6.SchemaNestedBlockNestingModeList,
		"set":    tfprotov6.SchemaNestedBlockNestingModeSet,
		"map":    tfprotov6.SchemaNestedBlockNestingModeMap,
	}
)

func attributes(from map[string]attribute) ([]*tfprotov6.SchemaAttribute, error) {
	var found []*tfprotov6.SchemaAttribute
	for name, one := range from {
		made := &tfprotov6.SchemaAttribute{
			Name: name, Required: one.Required, Optional: one.Optional, Computed: one.Computed, WriteOnly: one.WriteOnly,
		}
		if one.Nested != nil {
			inner, err := attributes(one.Nested.Attributes)
			if err != nil {
				return nil, err
			}
			made.NestedType = &tfprotov6.SchemaObject{Attributes: inner, Nesting: objects[one.Nested.Mode]}
		} else {
			kind, err := tftypes.ParseJSONType(one.Type) //nolint:staticcheck // the only parser of this notation
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			made.Type = kind
		}
		found = append(found, made)
	}
	return found, nil
}

func (one block) rendered() (*tfprotov6.SchemaBlock, error) {
	own, err := attributes(one.Attributes)
	if err != nil {
		return nil, err
	}
	made := &tfprotov6.SchemaBlock{Attributes: own}
	for name, inner := range one.Blocks {
		rendered, err := inner.Block.rendered()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		made.BlockTypes = append(made.BlockTypes, &tfprotov6.SchemaNestedBlock{
			TypeName: name, Block: rendered, Nesting: blocks[inner.Mode], MinItems: inner.Min, MaxItems: inner.Max,
		})
	}
	return made, nil
}

func all(from map[string]schema) (map[string]*tfprotov6.Schema, error) {
	found := map[string]*tfprotov6.Schema{}
	for name, one := range from {
		rendered, err := one.Block.rendered()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		found[name] = &tfprotov6.Schema{Block: rendered}
	}
	return found, nil
}

// provider answers what OpenTofu asks before it talks to a cloud. What it does not answer, nobody may ask: the embedded
// interface is nil.
type provider struct {
	tfprotov6.ProviderServer
	schemas *tfprotov6.GetProviderSchemaResponse
}

func (p *provider) GetProviderSchema(
	context.Context, *tfprotov6.GetProviderSchemaRequest,
) (*tfprotov6.GetProviderSchemaResponse, error) {
	return p.schemas, nil
}

func (p *provider) GetResourceIdentitySchemas(
	context.Context, *tfprotov6.GetResourceIdentitySchemasRequest,
) (*tfprotov6.GetResourceIdentitySchemasResponse, error) {
	return &tfprotov6.GetResourceIdentitySchemasResponse{}, nil
}

func (p *provider) ValidateProviderConfig(
	_ context.Context, asked *tfprotov6.ValidateProviderConfigRequest,
) (*tfprotov6.ValidateProviderConfigResponse, error) {
	return &tfprotov6.ValidateProviderConfigResponse{PreparedConfig: asked.Config}, nil
}

func (p *provider) ValidateResourceConfig(
	context.Context, *tfprotov6.ValidateResourceConfigRequest,
) (*tfprotov6.ValidateResourceConfigResponse, error) {
	return &tfprotov6.ValidateResourceConfigResponse{}, nil
}

func (p *provider) ValidateDataResourceConfig(
	context.Context, *tfprotov6.ValidateDataResourceConfigRequest,
) (*tfprotov6.ValidateDataResourceConfigResponse, error) {
	return &tfprotov6.ValidateDataResourceConfigResponse{}, nil
}

// UpgradeResourceState hands a state back as it is: OpenTofu asks this before it removes what a test made.
func (p *provider) UpgradeResourceState(
	_ context.Context, asked *tfprotov6.UpgradeResourceStateRequest,
) (*tfprotov6.UpgradeResourceStateResponse, error) {
	known := p.schemas.ResourceSchemas[asked.TypeName]
	if known == nil {
		return nil, fmt.Errorf("no schema of %s", asked.TypeName)
	}
	kind := known.ValueType()
	value, err := asked.RawState.Unmarshal(kind)
	if err != nil {
		return nil, err
	}
	state, err := tfprotov6.NewDynamicValue(kind, value)
	return &tfprotov6.UpgradeResourceStateResponse{UpgradedState: &state}, err
}

func (p *provider) ConfigureProvider(
	context.Context, *tfprotov6.ConfigureProviderRequest,
) (*tfprotov6.ConfigureProviderResponse, error) {
	return nil, errors.New("this provider knows its schema only: it can neither plan nor apply")
}

func (p *provider) StopProvider(
	context.Context, *tfprotov6.StopProviderRequest,
) (*tfprotov6.StopProviderResponse, error) {
	return &tfprotov6.StopProviderResponse{}, nil
}

func read(file string) (*provider, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var said document
	if err := json.Unmarshal(data, &said); err != nil {
		return nil, err
	}
	own, err := said.Provider.Block.rendered()
	if err != nil {
		return nil, err
	}
	resources, err := all(said.Resources)
	if err != nil {
		return nil, err
	}
	sources, err := all(said.Data)
	if err != nil {
		return nil, err
	}
	return &provider{schemas: &tfprotov6.GetProviderSchemaResponse{
		Provider: &tfprotov6.Schema{Block: own}, ResourceSchemas: resources, DataSourceSchemas: sources,
	}}, nil
}

func main() {
	own, err := os.Executable()
	if err != nil {
		panic(err)
	}
	made, err := read(own + ".json")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	serve := func() tfprotov6.ProviderServer { return made }
	// OpenTofu hands no address over and does not look at this one
	if err := tf6server.Serve("registry.opentofu.org/hashicorp/schema-only", serve); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
