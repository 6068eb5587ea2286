// The Arm Compute Library behind C functions, for the adapters acl_*.c: one function object, configured once, one thread.
//
// ACL chooses a kernel by the shape. Of a large shape only a sample is run, so the kernel is the one that ACL chooses for
// the whole: a first configuration is made for the whole and asked which kernels it would run, a second for the sample
// with no others to choose from.
#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include "arm_compute/core/CPP/ICPPKernel.h"
#include "arm_compute/runtime/IScheduler.h"
#include "arm_compute/runtime/NEON/functions/NEGEMM.h"
#include "arm_compute/runtime/Scheduler.h"
#include "arm_compute/runtime/Tensor.h"

using namespace arm_compute;

// ACL's table of kernels, exported by the library but declared in none of its packages' headers.
namespace arm_gemm
{
struct GemmArgs;
struct Nothing;

template <typename Left, typename Right, typename Result, typename Stage>
struct GemmImplementation
{
    int method; // DEFAULT, which is 0, ends the table
    const char *name;
    int weight_format;
    std::function<bool(const GemmArgs &, const Stage &)> is_supported;
    std::function<void()> estimate_cycles, instantiate; // not these types, but their size; never called here
};

template <typename Left, typename Right, typename Result, typename Stage>
const GemmImplementation<Left, Right, Result, Stage> *gemm_implementation_list();
} // namespace arm_gemm

namespace
{
using Names = std::vector<std::string>;

// ACL's scheduler for one thread, which can also note what it is given instead of running it.
class OneThread : public IScheduler
{
public:
    Names noted;
    bool noting = true;

    void set_num_threads(unsigned int) override
    {
    }
    unsigned int num_threads() const override
    {
        return 1;
    }
    void schedule(ICPPKernel *kernel, const Hints &hints) override
    {
        if (runs(*kernel, kernel->window(), hints))
            kernel->run(kernel->window(), thread());
    }
    void schedule_op(ICPPKernel *kernel, const Hints &hints, const Window &window, ITensorPack &tensors) override
    {
        if (runs(*kernel, window, hints))
            kernel->run_op(tensors, window, thread());
    }

protected:
    void run_workloads(std::vector<Workload> &workloads) override
    {
        for (Workload &workload : workloads)
            if (!noting)
                workload(thread());
    }

private:
    bool runs(const ICPPKernel &kernel, const Window &window, const Hints &hints)
    {
        const std::string name = kernel.name();
        if (noting)
            noted.push_back(name.substr(name.find('/') + 1));
        const unsigned int along = hints.split_dimension();
        return !noting && (along == split_dimensions_all || window.num_iterations(along) > 0);
    }
    ThreadInfo thread()
    {
        ThreadInfo info;
        info.cpu_info = &cpu_info();
        return info;
    }
};

struct Gemm
{
    Tensor a, b, c;
    NEGEMM function;
};

Gemm *gemm; // as long as the guest lives

void describe(Tensor &tensor, size_t rows, size_t columns, size_t stride, const float *data)
{
    TensorInfo info;
    info.init(TensorShape(columns, rows), 1, DataType::F32, Strides(sizeof(float), stride * sizeof(float)), 0,
              rows * stride * sizeof(float));
    tensor.allocator()->init(info);
    tensor.allocator()->import_memory(const_cast<float *>(data));
}

// B is an operand like A, so every call rearranges it.
Gemm *configured(const int64_t *mnk, const int64_t *strides, const float *a, const float *b, float *c)
{
    Gemm *made = new Gemm;
    describe(made->a, mnk[0], mnk[2], strides[0], a);
    describe(made->b, mnk[2], mnk[1], strides[1], b);
    describe(made->c, mnk[0], mnk[1], strides[2], c);
    made->b.info()->set_are_values_constant(false);
    made->function.configure(&made->a, &made->b, nullptr, &made->c, 1.0f, 0.0f, GEMMInfo(false, false, false));
    return made;
}

// Leave no other kernels to choose from.
void allow(const Names &names)
{
    const auto *list = arm_gemm::gemm_implementation_list<float, float, float, arm_gemm::Nothing>();
    auto *kernel = const_cast<std::remove_const_t<std::remove_pointer_t<decltype(list)>> *>(list);
    for (; kernel->method; kernel++)
        if (std::find(names.begin(), names.end(), kernel->name) == names.end())
            kernel->is_supported = [](const arm_gemm::GemmArgs &, const arm_gemm::Nothing &) { return false; };
}
} // namespace

// `whole` and `mnk` hold m, n and k of the shape and of what is run of it; `strides` those of the rows of A, B and C.
// Returns the names of the kernels, separated by commas.
extern "C" const char *opw_acl_gemm(const int64_t *whole, const int64_t *mnk, const int64_t *strides, const float *a,
                                    const float *b, float *c)
{
    auto scheduler = std::make_shared<OneThread>();
    Scheduler::set(scheduler);
    configured(whole, strides, a, b, c)->function.run();
    allow(scheduler->noted);
    gemm = configured(mnk, strides, a, b, c);
    scheduler->noting = false;
    gemm->function.prepare();
    std::string &said = *new std::string;
    for (const std::string &name : scheduler->noted)
        said += (said.empty() ? "" : ",") + name;
    return said.c_str();
}

extern "C" void opw_acl_run()
{
    gemm->function.run();
}
