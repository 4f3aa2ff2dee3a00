//! Calls that are begun before they are waited for, in an order.

use std::fmt;
use std::marker::PhantomData;

use crate::client::Client;
use crate::error::InvokeError;
use crate::line;
use crate::method::Method;

/// A call that was begun. Dropping it gives the call up: the server is told to drop its answer.
#[must_use = "a call that is dropped is given up"]
pub struct Begun<M> {
    call: line::Begun,
    dc: i32,
    method: PhantomData<fn() -> M>,
}

impl Client {
    /// Begins a call at home: it is queued before this returns, whether anybody waits for its answer or not. Calls that are
    /// begun go out in the order in which they were begun.
    ///
    /// Nothing is done by itself about errors: no wait, no other data centre, no further try.
    ///
    /// # Errors
    ///
    /// - [`InvokeError::TooManyCalls`] when as many wait as may: [`Client::invoke`] waits for a place instead.
    /// - [`InvokeError::ConnectionLost`] after [`Client::shutdown`].
    pub fn begin<M: Method>(&self, method: &M) -> Result<Begun<M>, InvokeError> {
        self.begin_call(method, None)
    }

    /// Begins a call that the server is to run after another (`invokeAfterMsg`): if that fails, so does this one, with
    /// `MSG_WAIT_FAILED`. One that is over already is not waited for, nor is one of another data centre.
    ///
    /// ```no_run
    /// # async fn example<M: heliogram_client::Method>(
    /// #     client: heliogram_client::Client,
    /// #     upload: M,
    /// #     send: M,
    /// # ) -> Result<(), heliogram_client::InvokeError> {
    /// let first = client.begin(&upload)?;
    /// let second = client.begin_after(&first, &send)?;
    /// first.answer().await?;
    /// second.answer().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`Client::begin`].
    pub fn begin_after<M: Method, N>(
        &self,
        earlier: &Begun<N>,
        method: &M,
    ) -> Result<Begun<M>, InvokeError> {
        self.begin_call(method, Some((earlier.dc, earlier.call.ticket())))
    }

    fn begin_call<M: Method>(
        &self,
        method: &M,
        after: Option<(i32, u64)>,
    ) -> Result<Begun<M>, InvokeError> {
        let dc = self.home();
        let after = after.filter(|it| it.0 == dc).map(|it| it.1);
        let call = self
            .line(dc)?
            .call_after(method.to_body(), self.due(), after)?;
        Ok(Begun {
            call,
            dc,
            method: PhantomData,
        })
    }
}

impl<M: Method> Begun<M> {
    /// Waits for the result.
    ///
    /// # Errors
    ///
    /// See [`InvokeError`].
    pub async fn answer(self) -> Result<M::Return, InvokeError> {
        let result = self.call.answer().await?;
        M::read_result(&result).map_err(InvokeError::Malformed)
    }
}

impl<M> fmt::Debug for Begun<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Begun")
            .field("dc", &self.dc)
            .finish_non_exhaustive()
    }
}
