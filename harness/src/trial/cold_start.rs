//! One cold start, or one load of the weights: the phases of a fresh process in their order.

use coldstart_kernels::cuda::CudaDevice;
use coldstart_kernels::{Device as _, HostDevice, Ops};
use coldstart_profiles::{Detail, DriverConditions, Nanos, Product, Reading};

use super::child::{ChildError, open_model, say};
use super::spec::{ChildLine, CurveReport, TrialReport, TrialSpec};
use super::{products, uploads};
use crate::clock;
use crate::model::{Capacity, Forward, Runner, read_config};
use crate::phases::{self, Began, Files, Passes};
use crate::telemetry::Sampler;
use crate::weights::{DeviceLayout, LoadDevice, Loaded, ModelFiles, check_device_fits, verify};

/// Takes the trial and prints its report. What goes wrong on the way is part of the report, beside the phases that ended.
pub(super) fn run(spec: &TrialSpec, started: Nanos) -> Result<(), ChildError> {
    let mut trial = Trial {
        spec,
        began: Began(started),
        readings: Vec::new(),
        curve: None,
        products: Vec::new(),
        sampler: None,
    };
    let error = trial.take().err();
    let refused = matches!(&error, Some(ChildError::Weights(error)) if error.is_refusal());
    let error = error.map(|error| error.to_string());
    let total_ns =
        trial.readings.last().map_or(Nanos::ZERO, |last| last.begin_ns.saturating_add(last.duration_ns));
    let telemetry = trial.sampler.map(|sampler| sampler.stop(started));
    let report = TrialReport {
        main_ns: started,
        readings: trial.readings,
        total_ns,
        curve: trial.curve,
        telemetry,
        products: trial.products,
        error,
        refused,
    };
    say(&ChildLine::Trial(report));
    Ok(())
}

struct Trial<'s> {
    spec: &'s TrialSpec,
    began: Began,
    readings: Vec<Reading>,
    curve: Option<CurveReport>,
    products: Vec<Product>,
    /// Opened after the context: before, it would warm the driver.
    sampler: Option<Sampler>,
}

impl Trial<'_> {
    fn take(&mut self) -> Result<(), ChildError> {
        if self.spec.together {
            self.readings.push(uploads::take(self.spec, self.began)?);
            return Ok(());
        }
        let gpu = self.spec.subject.device.gpus().first().copied();
        match (gpu, self.spec.driver) {
            (Some(index), Some(conditions)) => {
                let device = self.start(index, conditions)?;
                if self.spec.startup_only { Ok(()) } else { self.on(&device) }
            }
            (Some(index), None) => self.on(&CudaDevice::open(index)?),
            (None, _) => self.on(&HostDevice::open(0)?),
        }
    }

    /// driver_init, context_create and module_load.
    fn start(&mut self, index: usize, conditions: DriverConditions) -> Result<CudaDevice, ChildError> {
        let (driver, reading) = phases::driver_init(conditions, self.began)?;
        self.readings.push(reading);
        let (context, loading, reading) = phases::context_create(driver, index, conditions, self.began)?;
        self.readings.push(reading);
        self.sampler = self.spec.sampled.clone().map(Sampler::start);
        let (device, reading) = phases::module_load(context, loading, conditions, self.began)?;
        self.readings.push(reading);
        Ok(device)
    }

    /// Everything from the first allocation on.
    fn on<D: LoadDevice + Ops>(&mut self, device: &D) -> Result<(), ChildError> {
        let model = open_model(&self.spec.subject)?;
        let forward = match self.spec.forward {
            Some(_) => Some(read_config(&model)?),
            None => None,
        };
        let layout = DeviceLayout::of(&model);
        check_device_fits(device, &layout)?;
        let weights = self.load(device, &model, layout)?;
        if let Some(forward) = &forward {
            let passed = self.forward(device, forward, &weights);
            self.products = products::ran(device);
            passed?;
        }
        // After all timed regions: reading the files again would warm the page cache, and the device's caches.
        if self.spec.verify {
            let verified = verify(device, &model, &weights)?;
            for reading in &mut self.readings {
                if let Some(Detail::Load(load)) = &mut reading.detail {
                    load.verified_bytes = Some(verified.bytes);
                }
            }
        }
        Ok(())
    }

    /// alloc and weights_load.
    fn load<D: LoadDevice + Ops>(
        &mut self,
        device: &D,
        model: &ModelFiles,
        layout: DeviceLayout,
    ) -> Result<Loaded<D>, ChildError> {
        let strategy = self.spec.strategy.parse()?;
        let (mut buffer, reading) = phases::alloc(device, &layout, self.began)?;
        self.readings.push(reading);
        let files = Files { model, layout: &layout };
        let reading =
            phases::weights_load(device, &files, &mut buffer, (strategy, self.spec.page_cache), self.began)?;
        self.readings.push(reading);
        Ok(Loaded { buffer, table: layout.table().clone() })
    }

    /// first_batch, and the curve that follows it.
    fn forward<O: Ops>(
        &mut self,
        device: &O,
        forward: &Forward,
        weights: &Loaded<O>,
    ) -> Result<(), ChildError> {
        let Some(plan) = self.spec.forward else { return Ok(()) };
        let (sequences, tokens) = (plan.batch as usize, plan.tokens as usize);
        let capacity = Capacity { sequences, tokens: sequences * tokens, context: tokens + 1 };
        let mut runner = Runner::new(device, forward, &weights.table, &weights.buffer, capacity)?;
        let shape = (plan.mode, plan.batch, plan.tokens);
        let mut passes = Passes::new(device, &mut runner, forward, shape, self.spec.subject.seed)?;
        let first = phases::first_batch(&mut passes, &plan, self.began)?;
        self.readings.push(first.clone());
        if plan.max_iterations <= 1 {
            return Ok(());
        }
        let phases::Passed { series, device_ns } =
            phases::warm_up(&mut passes, &plan, &first, self.began, clock::resolution())?;
        self.curve = Some(CurveReport {
            forward: plan,
            begins_ns: series.begins,
            samples_ns: series.samples,
            device_ns,
            stop: series.stop,
        });
        Ok(())
    }
}
