"""The search for faulty fusions in compiled programs."""

import jax
import jax.numpy as jnp
import numpy as np

from launch.benchmarks import compiler_check

WRONG = """
%fused_computation (param_0.3: f32[3,3], param_1.2: f32[32769,3]) -> f32[32769] {
  %param_0.3 = f32[3,3]{1,0} parameter(0)
  %param_1.2 = f32[32769,3]{1,0} parameter(1)
  %dot.0 = f32[3,32769]{1,0} dot(%param_0.3, %param_1.2), lhs_contracting_dims={1}, rhs_contracting_dims={1}
  %pow.0 = f32[3,32769]{1,0} multiply(%dot.0, %dot.0), metadata={op_name="jit(f)/integer_pow" stack_frame_id=4}
  %constant.0 = f32[] constant(0)
  ROOT %sum.0 = f32[32769]{0} reduce(%pow.0, %constant.0), dimensions={0}, to_apply=%region_0.1
}

%fused_computation.1 (a: f32[3,1,2,2,8,8,8], b: f32[3,1,2,2,8,8,8]) -> f32[3,1,2,8,8,8] {
  %a = f32[3,1,2,2,8,8,8]{6,5,4,3,2,1,0} parameter(0)
  %b = f32[3,1,2,2,8,8,8]{6,5,4,3,2,1,0} parameter(1)
  %mul.0 = f32[3,1,2,2,8,8,8]{6,5,4,3,2,1,0} multiply(%a, %b)
  %constant.1 = f32[] constant(0)
  ROOT %sum.1 = f32[3,1,2,8,8,8]{5,4,3,2,1,0} reduce(%mul.0, %constant.1), dimensions={3}, to_apply=%region_0.1
}

%fused_computation.2 (a.1: f32[4,3], b.1: f32[3,2]) -> f32[4,2] {
  %a.1 = f32[4,3]{1,0} parameter(0)
  %b.1 = f32[3,2]{1,0} parameter(1)
  %sum.2 = f32[4]{0} reduce(%a.1, %b.1), dimensions={1}, to_apply=%region_0.1
  ROOT %dot.1 = f32[4,2]{1,0} dot(%a.1, %b.1), lhs_contracting_dims={1}, rhs_contracting_dims={0}
}

ENTRY %main (r: f32[32769,3]) -> f32[32769] {
  %f.0 = f32[32769]{0} fusion(%m, %r), kind=kCustom, calls=%fused_computation, backend_config={"fusion_config":{"kind":"__ynn_fusion"}}
  %f.1 = f32[3]{0} fusion(%m, %r), kind=kCustom, calls=%fused_computation.1, backend_config={"fusion_config":{"kind":"__ynn_fusion"}}
  %f.2 = f32[4]{0} fusion(%m, %r), kind=kCustom, calls=%fused_computation.2, backend_config={"fusion_config":{"kind":"__ynn_fusion"}}
  %f.3 = f32[4]{0} fusion(%m), kind=kLoop, calls=%fused_computation.2
}
"""


def test_compiler_check_recognises_the_faulty_fusions():
  assert compiler_check.fusions(WRONG) == [
    {
      'name': 'fused_computation',
      'dot': True,
      'reduce': True,
      'dot_then_reduce': True,
      'reduce_of_rank': False,
    },
    {
      'name': 'fused_computation.1',
      'dot': False,
      'reduce': True,
      'dot_then_reduce': False,
      'reduce_of_rank': True,
    },
    {
      'name': 'fused_computation.2',
      'dot': True,
      'reduce': True,
      'dot_then_reduce': False,
      'reduce_of_rank': False,
    },
  ]


def test_compiler_check_parses_a_compiled_program():
  """Every instruction of the program is parsed, and the operations that the sum depends on are
  found.
  """

  def sum_of_product(a, b):
    return jnp.sum((a @ b) ** 2, axis=0)

  values = np.ones((3, 3), np.float32)
  hlo = jax.jit(sum_of_product).lower(values, values).compile().as_text()
  graphs = [
    compiler_check.instructions(lines) for lines in compiler_check.computations(hlo).values()
  ]
  operations = [operation for graph in graphs for operation, _, _ in graph.values()]
  assert {'dot', 'reduce', 'multiply'} <= set(operations)
  assert sum(len(graph) for graph in graphs) == sum(' = ' in line for line in hlo.splitlines())
