"""What fast code is compared with: MLA by its formula, one head and one query at a time, and the kernels that a call runs."""

import torch
from torch.profiler import ProfilerActivity, profile


def kernels(run):
    """Names of the operators that a call runs."""
    with profile(activities=[ProfilerActivity.CPU]) as prof:
        run()
    return {event.key for event in prof.key_averages()}


def naive_mla(layer, x, angles=None, memory=None, memory_angles=None, padding=None, is_causal=False):
    """Attends in loops; angles are `(length, rope_dim / 2)`, padding `(batch, keys)`."""

    def turn(vector, angle):
        a, b = vector.chunk(2)
        return torch.cat([a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()])

    source, source_angles = (x, angles) if memory is None else (memory, memory_angles)
    nope, rope, rank = layer.qk_nope_head_dim, layer.qk_rope_head_dim, layer.kv_lora_rank
    rows = []
    for b in range(len(x)):
        down = source[b] @ layer.kv_down.weight.T
        latent = layer.kv_norm(down[:, :rank])
        shared = [turn(k, source_angles[j]) if source_angles is not None else k for j, k in enumerate(down[:, rank:])]
        query = layer.q_norm(layer.q_down(x[b])) @ layer.q_up.weight.T
        for i in range(x.size(1)):
            heads = []
            for h in range(layer.num_heads):
                q = query[i].view(layer.num_heads, -1)[h]
                q_rope = turn(q[nope:], angles[i]) if angles is not None else q[nope:]
                up = layer.kv_up.weight.view(layer.num_heads, -1, rank)[h]
                seen = [
                    j
                    for j in range(len(latent))
                    if not (is_causal and j > i) and not (padding is not None and padding[b, j])
                ]
                scores = [(q[:nope] @ (up[:nope] @ latent[j]) + q_rope @ shared[j]) * layer.scale for j in seen]
                values = [up[nope:] @ latent[j] for j in seen]
                heads.append(torch.stack(scores).softmax(0) @ torch.stack(values))
            rows.append(torch.cat(heads) @ layer.out.weight.T)
    assert nope + rope == layer.q_up.out_features // layer.num_heads
    return torch.stack(rows).view_as(x)
