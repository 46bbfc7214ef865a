import { expect, test } from 'vitest'
import { choosePipeline, type Pipeline } from '../../src/gitlab/pipeline.ts'

const head = 'refs/merge-requests/4/head'
const merge = 'refs/merge-requests/4/merge'

function pipeline(id: number, source: string | null, ref = 'calc/a', sha = 'abc'): Pipeline {
  return { id, ref, sha, source, status: 'running', createdAt: null }
}

const context = { sha: 'abc', branch: 'calc/a', mergeRequestIid: null }
const ofMergeRequest = { ...context, mergeRequestIid: 4 }

test.each<[string, Pipeline[], Parameters<typeof choosePipeline>[1], number | null]>([
  ['nothing there yet', [], ofMergeRequest, null],
  ['the newest of the branch', [pipeline(1, 'push'), pipeline(3, 'web'), pipeline(2, 'schedule')], context, 3],
  ['any order', [pipeline(3, 'api'), pipeline(1, 'push')], context, 3],
  ['GitLab before 14 tells no source', [pipeline(1, null)], context, 1],
  ['a real one before an external one, though older', [pipeline(1, 'push'), pipeline(2, 'external')], context, 1],
  ['an external one where there is no other', [pipeline(1, 'external'), pipeline(2, 'external')], context, 2],
  ['never a child pipeline', [pipeline(1, 'push'), pipeline(2, 'parent_pipeline')], context, 1],
  ['only child pipelines', [pipeline(2, 'parent_pipeline')], context, null],
  [
    'no scan or policy',
    [pipeline(2, 'security_orchestration_policy'), pipeline(3, 'ondemand_dast_scan')],
    context,
    null,
  ],
  ['no other branch', [pipeline(1, 'push', 'calc/b'), pipeline(2, 'push', 'calc')], context, null],
  ['no other commit', [pipeline(1, 'push', 'calc/a', 'def')], context, null],
  ["no merge request's where none is meant", [pipeline(1, 'merge_request_event', head)], context, null],
  [
    "the merge request's before the branch's, though older",
    [pipeline(5, 'push'), pipeline(4, 'merge_request_event', head)],
    ofMergeRequest,
    4,
  ],
  [
    "not another merge request's",
    [pipeline(1, 'push'), pipeline(2, 'merge_request_event', 'refs/merge-requests/41/head')],
    ofMergeRequest,
    1,
  ],
  ["not an older head's", [pipeline(1, 'merge_request_event', head, 'def')], ofMergeRequest, null],
  [
    "no child of the merge request's",
    [pipeline(1, 'merge_request_event', head), pipeline(2, 'parent_pipeline', head)],
    ofMergeRequest,
    1,
  ],
  [
    'merged results: the head pipeline, whose sha is another',
    [
      pipeline(1, 'push'),
      pipeline(6, 'merge_request_event', merge, 'fff'),
      pipeline(7, 'merge_request_event', merge, 'eee'),
    ],
    { ...ofMergeRequest, pipelineOf: ref => (ref === merge ? 6 : null) },
    6,
  ],
  [
    'merged results of an older head are not ours',
    [pipeline(1, 'push'), pipeline(6, 'merge_request_event', merge, 'fff')],
    ofMergeRequest,
    1,
  ],
])('%s', (_, pipelines, where, id) => {
  expect(choosePipeline(pipelines, where)?.id ?? null).toBe(id)
})

test('leaves its input alone', () => {
  const pipelines = Object.freeze([pipeline(1, 'push'), pipeline(2, 'push')])
  expect(choosePipeline(pipelines, context)?.id).toBe(2)
})
