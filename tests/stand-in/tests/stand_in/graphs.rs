//! Stream capture and graphs.

use coldstart_stand_in::this_test;

use crate::cuda::{
    Handle, alloc, cu, download, event, kernel, on_stand_in, open, pinned, report, stream, sync, upload,
};

const THREAD_LOCAL: i32 = 1;

fn begin(stream: Handle) {
    assert_eq!(cu!(cuStreamBeginCapture_v2(stream => Handle, THREAD_LOCAL => i32)), 0);
}

fn end(stream: Handle) -> (i32, Handle) {
    let mut graph: Handle = std::ptr::null_mut();
    (cu!(cuStreamEndCapture(stream => Handle, &mut graph => &mut Handle)), graph)
}

fn instantiate(graph: Handle) -> Handle {
    let mut executable: Handle = std::ptr::null_mut();
    assert_eq!(
        cu!(cuGraphInstantiateWithFlags(&mut executable => &mut Handle, graph => Handle, 0 => u64)),
        0
    );
    assert_eq!(cu!(cuGraphDestroy(graph => Handle)), 0);
    executable
}

fn launch(executable: Handle, stream: Handle) {
    assert_eq!(cu!(cuGraphLaunch(executable => Handle, stream => Handle)), 0);
}

#[test]
fn a_replay_reads_what_is_there_now() {
    on_stand_in(this_test!(), &[], || {
        open(0);
        let twice = kernel("twice", &[8, 8, 4], 0);
        let stream = stream();
        let (x, y, z) = (upload(&[1u32; 50]), alloc(200), alloc(200));
        begin(stream);
        assert_eq!(twice.launch(stream, 1, 64, 0, &[&x, &y, &50]), 0);
        assert_eq!(twice.launch(stream, 1, 64, 0, &[&y, &z, &50]), 0);
        let (code, graph) = end(stream);
        assert_eq!(code, 0);
        assert_eq!(download::<u32>(z, 50), [u32::MAX; 50], "recording runs nothing");
        let mut nodes = 0;
        assert_eq!(
            cu!(cuGraphGetNodes(graph => Handle, std::ptr::null_mut() => *mut Handle, &mut nodes => &mut usize)),
            0
        );
        assert_eq!(nodes, 2);
        let executable = instantiate(graph);
        for value in [3u32, 5] {
            let numbers = [value; 50];
            assert_eq!(
                cu!(cuMemcpyHtoDAsync_v2(x => u64, numbers.as_ptr() => *const u32, 200 => usize, stream => Handle)),
                0
            );
            launch(executable, stream);
            assert_eq!(sync(stream), 0, "{}", report());
            assert_eq!(download::<u32>(z, 50), [4 * value; 50]);
        }
    });
}

#[test]
fn a_graph_whose_memory_was_freed() {
    on_stand_in(this_test!(), &[], || {
        open(0);
        let twice = kernel("twice", &[8, 8, 4], 0);
        let stream = stream();
        let (x, y) = (upload(&[1u32; 50]), alloc(200));
        begin(stream);
        assert_eq!(twice.launch(stream, 1, 64, 0, &[&x, &y, &50]), 0);
        let executable = instantiate(end(stream).1);
        launch(executable, stream);
        assert_eq!(sync(stream), 0);
        assert_eq!(cu!(cuMemFree_v2(x => u64)), 0);
        launch(executable, stream);
        assert_eq!(sync(stream), 700);
        assert!(report().contains("was freed"), "{}", report());
    });
}

#[test]
fn what_must_not_be_done_while_recording() {
    on_stand_in(this_test!(), &[], || {
        open(0);
        let set = kernel("set", &[8, 4, 4], 0);
        let (first, second) = (stream(), stream());
        let x = alloc(400);
        let (before, inside) = (event(), event());
        assert_eq!(cu!(cuEventRecord(before => Handle, second => Handle)), 0);
        type Step<'a> = (&'a str, &'a dyn Fn() -> i32, i32, i32);
        let steps: [Step<'_>; 7] = [
            ("nothing wrong", &|| set.launch(first, 1, 128, 0, &[&x, &100, &1u32]), 0, 0),
            ("sync of the stream", &|| sync(first), 900, 901),
            ("sync of the context", &|| cu!(cuCtxSynchronize()), 900, 901),
            ("allocation", &|| cu!(cuMemAlloc_v2(&mut 0 => &mut u64, 16 => usize)), 900, 901),
            (
                "an event from outside",
                &|| cu!(cuStreamWaitEvent(first => Handle, before => Handle, 0 => u32)),
                905,
                0,
            ),
            (
                "a recorded event outside",
                &|| {
                    assert_eq!(cu!(cuEventRecord(inside => Handle, first => Handle)), 0);
                    cu!(cuEventSynchronize(inside => Handle))
                },
                907,
                0,
            ),
            (
                "a branch that never comes back",
                &|| {
                    assert_eq!(cu!(cuEventRecord(inside => Handle, first => Handle)), 0);
                    assert_eq!(cu!(cuStreamWaitEvent(second => Handle, inside => Handle, 0 => u32)), 0);
                    set.launch(second, 1, 128, 0, &[&x, &100, &1u32])
                },
                0,
                904,
            ),
        ];
        for (what, step, code, at_end) in steps {
            begin(first);
            assert_eq!(step(), code, "{what}");
            assert_eq!(end(first).0, at_end, "the end of: {what}");
        }
        assert_eq!(cu!(cuCtxSynchronize()), 0);
    });
}

#[test]
fn branches_that_come_back_are_recorded() {
    on_stand_in(this_test!(), &[], || {
        open(0);
        let set = kernel("set", &[8, 4, 4], 0);
        let (first, second) = (stream(), stream());
        let (x, target) = (alloc(400), pinned(100));
        let (fork, joined) = (event(), event());
        begin(first);
        assert_eq!(set.launch(first, 1, 128, 0, &[&x, &100, &1u32]), 0);
        assert_eq!(cu!(cuEventRecord(fork => Handle, first => Handle)), 0);
        assert_eq!(cu!(cuStreamWaitEvent(second => Handle, fork => Handle, 0 => u32)), 0);
        assert_eq!(set.launch(second, 1, 128, 0, &[&x, &100, &2u32]), 0);
        assert_eq!(cu!(cuEventRecord(joined => Handle, second => Handle)), 0);
        assert_eq!(cu!(cuStreamWaitEvent(first => Handle, joined => Handle, 0 => u32)), 0);
        let bytes = 400usize;
        assert_eq!(
            cu!(cuMemcpyDtoHAsync_v2(target.as_mut_ptr() => *mut u32, x => u64, bytes => usize, first => Handle)),
            0
        );
        let (code, graph) = end(first);
        assert_eq!(code, 0);
        launch(instantiate(graph), first);
        assert_eq!(sync(first), 0, "{}", report());
        assert_eq!(target, [2; 100]);
    });
}
